# The GPUs as the driver tells of them: /proc/driver/nvidia, device nodes, and nvidia-smi's XML where it answers. Of the
# XML three parts stay behind: tables of clocks (half of it), and names of programs and of their owners.
value /proc/driver/nvidia/version && say kernel_driver "$value"
for gpu in /proc/driver/nvidia/gpus/*/information; do
  [ -r "$gpu" ] || continue
  address=${gpu%/information}
  while IFS=: read -r key content; do
    say information "${address##*/}" "$key" "$content"
  done <"$gpu"
done
if [ -r /proc/driver/nvidia/params ]; then
  while IFS=: read -r key content; do say parameter "$key" "$content"; done </proc/driver/nvidia/params
fi
for node in /dev/nvidia* /dev/nvidia-caps-imex-channels/*; do
  [ -c "$node" ] && say device_node "$node"
done
for switch in /proc/driver/nvidia-nvswitch/devices/*; do
  [ -e "$switch" ] && say switch "${switch##*/}"
done
# Where a driver was put without packages (injected into a guest or a container), its tools are not in PATH.
PATH=$PATH:/usr/local/nvidia/bin:/opt/nvidia/bin:/run/nvidia/driver/usr/bin
if command -v nvidia-smi >/dev/null; then
  {
    timeout -k 1 10 nvidia-smi -q -x 2>&1
    echo "<!--code $?-->"
  } | head -c 4000000 | tr -c '[:print:]\n' '?' | awk '
    /<supported_clocks>/ { skipped = 1 }
    !skipped && !/<process_name>/ && !/<accounted_process_name>/ { sub(/^[? ]+/, ""); if ($0 != "") print "xml\t" $0 }
    /<\/supported_clocks>/ { skipped = 0 }'
fi
