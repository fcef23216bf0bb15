# Container engines and the toolkit, by their own word; and CDI files: their kind, how many devices, and the version of
# the libcuda that they hand in.
for tool in docker dockerd containerd crio podman runc crun apptainer singularity enroot nvidia-ctk nvidia-container-cli \
  kubelet; do
  command -v "$tool" >/dev/null || continue
  case $tool in enroot) set -- version ;; *) set -- --version ;; esac
  say runtime "$tool" "$(timeout -k 1 2 "$tool" "$@" 2>/dev/null | head -n 1 | cut -c1-200)"
done
for spec in /etc/cdi/* /var/run/cdi/*; do
  [ -f "$spec" ] || continue
  [ -r "$spec" ] || { say hidden "cdi $spec" "not readable for this user"; continue; }
  kind=$(sed -n -e 's/^.*"\{0,1\}kind"\{0,1\} *: *"\{0,1\}\([A-Za-z0-9._/-]*\).*$/\1/p' "$spec" | head -n 1)
  driver=$(grep -o 'libcuda\.so\.[0-9][0-9.]*[0-9]' "$spec" | grep -v 'so\.1$' | head -n 1)
  say cdi "$spec" "$kind" "${driver#libcuda.so.}" "$(grep -cE '^ *-? *"?name"? *: ' "$spec")"
done
