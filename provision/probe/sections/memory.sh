# CPUs, memory, its nodes and hugepages: /proc/cpuinfo, /proc/meminfo, /sys/devices/system/node.
amount() { awk -v wanted="$1:" '$1 == wanted { print $2 } $3 == wanted { print $4 }' "$2" 2>/dev/null | head -n 1; }
say cpus "$(getconf _NPROCESSORS_ONLN 2>/dev/null)"
say cpu "$(sed -n -e '/^model name[[:space:]]*:/{s/^[^:]*: *//p;q;}' /proc/cpuinfo)"
say memory "$(amount MemTotal /proc/meminfo)"
if value /sys/kernel/mm/transparent_hugepage/enabled; then
  policy=${value#*\[}
  say transparent_hugepages "${policy%%\]*}"
fi
for node in /sys/devices/system/node/node[0-9]*; do
  [ -d "$node" ] || continue
  number=${node##*/node}
  say node "$number" "$(cat "$node/cpulist" 2>/dev/null)" "$(amount MemTotal "$node/meminfo")" "$(amount MemFree "$node/meminfo")"
  for size in "$node"/hugepages/hugepages-*kB; do
    value "$size/nr_hugepages" || continue
    size=${size##*/hugepages-}
    say hugepages "$number" "${size%kB}" "$value"
  done
done
