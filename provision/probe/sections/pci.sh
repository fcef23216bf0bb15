# PCI devices of NVIDIA and Mellanox, from /sys/bus/pci. There is often no lspci.
for device in /sys/bus/pci/devices/*; do
  value "$device/vendor" || continue
  vendor=$value
  case $vendor in 0x10de | 0x15b3) ;; *) continue ;; esac
  value "$device/device"; id=$value
  value "$device/class"; class=$value
  value "$device/subsystem_vendor"; board=${value#0x}
  value "$device/subsystem_device"; board=$board:${value#0x}
  value "$device/numa_node"; numa=$value
  driver=$(readlink "$device/driver" 2>/dev/null)
  group=$(readlink "$device/iommu_group" 2>/dev/null)
  say device "${device##*/}" "${vendor#0x}" "${id#0x}" "${class#0x}" "${driver##*/}" "$board" "${group##*/}" "$numa"
done
