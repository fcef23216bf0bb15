# Where packages come from: apt's sources and preferences, dnf's and zypper's repositories. What stands between `//` and
# `@`, and behind `?`, may be a secret: it never leaves the machine.
sources() {
  key=$1; shift
  for file in "$@"; do
    [ -f "$file" ] || continue
    [ -r "$file" ] || { say hidden "$key $file" "not readable for this user"; continue; }
    sed -e 's#//[^/ ]*@#//***@#g' -e 's#?[^ ]*#?***#g' "$file" | grep -Ev '^[ 	]*[#;]' |
      while IFS= read -r line; do say "$key" "$file" "$line"; done
  done
}
sources source /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources
sources pin /etc/apt/preferences /etc/apt/preferences.d/*
for file in /etc/yum.repos.d/*.repo /etc/zypp/repos.d/*.repo; do
  [ -f "$file" ] || continue
  [ -r "$file" ] || { say hidden "source $file" "not readable for this user"; continue; }
  grep -E '^(\[|baseurl|mirrorlist|metalink|enabled|gpgkey)' "$file" |
    sed -e 's#//[^/ ]*@#//***@#g' -e 's#?[^ ]*#?***#g' |
    while IFS= read -r line; do say source "$file" "$line"; done
done
