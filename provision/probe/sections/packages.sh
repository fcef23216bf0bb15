# Packages of interest with versions and holds: one dpkg-query, or one rpm. dpkg's abbreviation says which are held.
if command -v dpkg-query >/dev/null; then
  dpkg-query -W -f='package\t${Package}\t${db:Status-Abbrev}\t${Version}\n' \
    'nvidia*' 'libnvidia*' 'xserver-xorg-video-nvidia*' 'cuda*' 'libcuda*' 'libcudnn*' 'libnccl*' 'libcublas*' \
    'libnvjitlink*' 'libnvshmem*' 'libnvsdm*' 'nsight*' 'gds-tools*' 'datacenter-gpu-manager*' 'dcgm*' 'tensorrt*' \
    'doca*' 'mlnx*' 'ofed*' 'mft*' 'rdma-core' 'libibverbs*' 'ibverbs-providers' 'libmlx*' 'ucx*' 'libucx*' \
    'openmpi*' 'gdrcopy*' 'gdrdrv*' 'libgdrapi*' 'linux-image*' 'linux-headers*' 'linux-modules*' 'linux-kbuild*' \
    'linux-nvidia*' 'linux-generic*' 'linux-open-modules*' 'linux-restricted*' 'dkms' 'gcc' 'gcc-[0-9]*' 'make' \
    'clang*' 'libc6' 'initramfs-tools' 'dracut' 'grub*' 'shim-signed' 'mokutil' 'firmware-nvidia*' 'firmware-misc*' \
    'docker*' 'containerd*' 'cri-o*' 'podman*' 'runc' 'crun' 'apptainer*' 'singularity*' 'slurm*' 'kubelet' 'snapd' \
    'unattended-upgrades' 'apt' 'dpkg' 'systemd' 2>/dev/null |
    awk -F '\t' 'substr($3, 2, 1) != "n"'
elif command -v rpm >/dev/null; then
  rpm -qa --qf 'package\t%{NAME}\tii \t%{VERSION}-%{RELEASE}\n' \
    '*nvidia*' 'cuda*' 'libcuda*' 'libcudnn*' 'libnccl*' 'libcublas*' 'nsight*' 'datacenter-gpu-manager*' 'doca*' \
    'mlnx*' 'ofed*' 'mft*' 'rdma-core*' 'libibverbs*' 'ucx*' 'openmpi*' 'gdrcopy*' 'kernel' 'kernel-*' 'dkms' 'gcc' \
    'gcc-*' 'make' 'clang*' 'glibc' 'dracut' 'grub2*' 'shim*' 'mokutil' 'docker*' 'containerd*' 'cri-o*' 'podman*' \
    'runc' 'crun' 'apptainer*' 'slurm*' 'kubelet' 'dnf' 'systemd' 2>/dev/null | sort -u
fi
