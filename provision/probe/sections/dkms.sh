# DKMS, from the tree that it keeps in /var/lib/dkms: `dkms status` itself costs 0.7 s and tells the same. A version
# added has a link `source`; one built has KERNEL/ARCH; one installed has a link kernel-KERNEL-ARCH beside its version.
for source in /var/lib/dkms/*/*/source; do
  [ -e "$source" ] || [ -L "$source" ] || continue
  version=${source%/source}
  name=${version%/*}
  seen=
  for built in "$version"/*/*/; do
    built=${built%/}
    kernel=${built%/*}
    case ${kernel##*/} in build | source | tarball | '*') continue ;; esac
    [ -d "$built/module" ] || [ -d "$built/log" ] || continue
    seen=yes
    link=$name/kernel-${kernel##*/}-${built##*/}
    state=built
    [ "$(readlink -f "$link" 2>/dev/null)" = "$(readlink -f "$built")" ] && state=installed
    say dkms "${name##*/}" "${version##*/}" "${kernel##*/}" "${built##*/}" $state
  done
  if [ -d "$version/build" ]; then
    say dkms "${name##*/}" "${version##*/}" "" "" unfinished
  elif [ -z "$seen" ]; then
    say dkms "${name##*/}" "${version##*/}" "" "" added
  fi
done
