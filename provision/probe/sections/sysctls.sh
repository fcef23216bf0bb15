# Kernel settings that bear on GPU and RDMA work, from /proc/sys. By grep, because a shell reads byte by byte, and of a
# number there the kernel hands out nothing behind the first digit then.
cd /proc/sys || exit 1
grep -H '' kernel/numa_balancing kernel/nmi_watchdog kernel/panic kernel/panic_on_oops kernel/modules_disabled \
  kernel/dmesg_restrict kernel/perf_event_paranoid kernel/randomize_va_space kernel/sched_autogroup_enabled \
  kernel/unprivileged_userns_clone kernel/apparmor_restrict_unprivileged_userns kernel/yama/ptrace_scope \
  kernel/threads-max kernel/pid_max kernel/shmmax vm/nr_hugepages vm/nr_overcommit_hugepages \
  vm/overcommit_memory vm/swappiness vm/zone_reclaim_mode vm/max_map_count vm/compaction_proactiveness \
  vm/dirty_ratio vm/min_free_kbytes vm/unprivileged_userfaultfd fs/file-max fs/inotify/max_user_instances \
  fs/inotify/max_user_watches fs/aio-max-nr user/max_user_namespaces net/core/rmem_max net/core/wmem_max \
  net/core/netdev_max_backlog net/core/somaxconn net/ipv4/ip_forward net/ipv4/conf/all/rp_filter \
  net/ipv4/conf/all/arp_announce net/ipv4/conf/all/arp_ignore net/ipv4/tcp_rmem net/ipv4/tcp_wmem \
  net/ipv4/tcp_congestion_control 2>/dev/null |
  while IFS=: read -r name setting; do say sysctl "$name" "$setting"; done
