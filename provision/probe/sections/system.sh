# The system: os-release(5), /proc/sys/kernel/tainted, units that failed (systemctl).
for release in /etc/os-release /usr/lib/os-release; do
  [ -f "$release" ] || continue
  while IFS= read -r line; do say os_release "$line"; done <"$release"
  break
done
say tainted "$(cat /proc/sys/kernel/tainted 2>/dev/null)"
systemctl list-units --failed --plain --no-legend --no-pager 2>/dev/null |
  while read -r unit _; do say failed_unit "$unit"; done
