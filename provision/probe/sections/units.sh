# Units of interest, in one systemctl; when their files were put there (ctime: a package keeps the build's mtime), and
# whether the program that runs was replaced on disk since (/proc/PID/exe; root only).
config() {
  case $1 in
  nvidia-fabricmanager.service) echo /usr/share/nvidia/nvswitch/fabricmanager.cfg /etc/fabricmanager.cfg ;;
  containerd.service) echo /etc/containerd/config.toml ;;
  docker.service) echo /etc/docker/daemon.json ;;
  crio.service) echo /etc/crio/crio.conf /etc/crio/crio.conf.d/* ;;
  nvidia-imex.service) echo /etc/nvidia-imex/config.cfg /etc/nvidia-imex/nodes_config.cfg ;;
  slurmd.service) echo /etc/slurm/slurm.conf /etc/slurm/gres.conf ;;
  esac
}
tell() {
  [ "$load" != not-found ] && [ -n "$id" ] || return 0
  began='' replaced=no newest='' newest_file=''
  # Two clocks: what systemd counts stands still in a suspend, and the seconds since the boot do not.
  case $monotonic in '' | 0) ;; *) [ "$pid" = 0 ] || began=$((now - up + monotonic / 1000000)) ;; esac
  case $(readlink "/proc/$pid/exe" 2>/dev/null) in *' (deleted)') replaced=yes ;; esac
  for file in $fragment $drop_ins $(config "$id"); do
    changed=$(stat -Lc %Z "$file" 2>/dev/null) || continue
    [ "$changed" -gt "${newest:-0}" ] && newest=$changed newest_file=$file
  done
  say unit "$id" "$enabled" "$active" "$sub" "$result" "${restarts:-0}" "$reload" "$began" "$newest" "$newest_file" \
    $replaced
}
now=$(date +%s)
value /proc/uptime; up=${value%%.*}
forget() {
  id='' load='' enabled='' active='' sub='' result='' restarts='' reload='' monotonic='' pid=0 fragment='' drop_ins=''
}
forget
# shellcheck disable=SC2086
{
  systemctl show --no-pager -p Id,LoadState,UnitFileState,ActiveState,SubState,Result,NRestarts,NeedDaemonReload \
    -p ExecMainStartTimestampMonotonic,MainPID,FragmentPath,DropInPaths nvidia-persistenced.service \
    nvidia-fabricmanager.service nvidia-imex.service nvidia-dcgm.service dcgm.service nvidia-powerd.service \
    nvidia-cdi-refresh.service nvidia-cdi-refresh.path nvidia-suspend.service nvidia-resume.service \
    nvidia-hibernate.service nvsm.service openibd.service mst.service rdma-ndd.service opensmd.service srp_daemon.service \
    docker.service containerd.service crio.service podman.socket kubelet.service slurmd.service irqbalance.service \
    tuned.service dkms.service apt-daily-upgrade.timer unattended-upgrades.service dnf-automatic.timer snapd.service \
    systemd-modules-load.service multipathd.service $UNITS 2>/dev/null
  echo
} | while IFS= read -r line; do
  case $line in
  '') tell; forget ;;
  Id=*) id=${line#*=} ;;
  LoadState=*) load=${line#*=} ;;
  UnitFileState=*) enabled=${line#*=} ;;
  ActiveState=*) active=${line#*=} ;;
  SubState=*) sub=${line#*=} ;;
  Result=*) result=${line#*=} ;;
  NRestarts=*) restarts=${line#*=} ;;
  NeedDaemonReload=*) reload=${line#*=} ;;
  ExecMainStartTimestampMonotonic=*) monotonic=${line#*=} ;;
  MainPID=*) pid=${line#*=} ;;
  FragmentPath=*) fragment=${line#*=} ;;
  DropInPaths=*) drop_ins=${line#*=} ;;
  esac
done
