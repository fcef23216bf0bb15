# RDMA devices and the state of their ports, from /sys/class/infiniband.
for device in /sys/class/infiniband/*; do
  [ -d "$device/ports" ] || continue
  value "$device/fw_ver"; firmware=$value
  value "$device/board_id"; board=$value
  address=$(readlink "$device/device" 2>/dev/null)
  netdevs=
  for netdev in "$device"/device/net/*; do [ -e "$netdev" ] && netdevs="$netdevs ${netdev##*/}"; done
  for port in "$device"/ports/*; do
    [ -d "$port" ] || continue
    value "$port/state"; state=${value#*: }
    value "$port/phys_state"; physical=${value#*: }
    value "$port/rate"; rate=$value
    value "$port/link_layer"
    say port "${device##*/}" "${port##*/}" "$state" "$physical" "$rate" "$value" "$firmware" "$board" "${address##*/}" \
      "$netdevs"
  done
done
