# What can be booted: GRUB's menu, entries of the Boot Loader Specification, links that point nowhere. The release that
# starts by default is asked with the platform's own program, default_release.
for link in /vmlinuz /vmlinuz.old /initrd.img /initrd.img.old /boot/*; do
  [ -L "$link" ] && [ ! -e "$link" ] && say dangling "$link" "$(readlink "$link")"
done
menu=
for menu in /boot/grub/grub.cfg /boot/grub2/grub.cfg; do [ -e "$menu" ] && break; done
if [ -r "$menu" ]; then
  awk '
    function told() { gsub(/\t/, " ", title); if (title != "") printf "menu\t%s\t%s\n", title, release; title = ""; release = "" }
    /^[ \t]*menuentry / { told(); if (match($0, /\047[^\047]*\047/)) title = substr($0, RSTART + 1, RLENGTH - 2) }
    $1 ~ /^linux(16|efi)?$/ && match($2, /vmlinu[xz]-.*/) { release = substr($2, RSTART + 8) }
    END { told() }' "$menu"
elif [ -e "$menu" ]; then
  say hidden boot_entries "$menu is not readable for this user"
fi
for entry in /boot/loader/entries/*.conf; do
  [ -f "$entry" ] || continue
  if [ -r "$entry" ]; then
    awk '
      $1 == "title" { sub(/^title[ \t]+/, ""); gsub(/\t/, " "); title = $0 }
      $1 == "version" { release = $2 }
      END { printf "menu\t%s\t%s\n", title, release }' "$entry"
  else
    say hidden boot_entries "$entry is not readable for this user"
  fi
done
release=$(default_release 2>/dev/null | tail -n 1)
[ -z "$release" ] || say default_kernel "$release"
