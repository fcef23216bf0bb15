# CUDA toolkits (version.json; version.txt before CUDA 11; else the header), and every copy of the driver's user-space libraries: the
# loader's cache (ldconfig -p) names them in the order in which it would take them.
for path in /usr/local/cuda*; do
  [ -d "$path" ] || continue
  version=
  if [ -f "$path/version.json" ]; then
    version=$(tr -d '\n' <"$path/version.json" |
      sed -n -e 's/.*"cuda" *: *{[^}]*"version" *: *"\([^"]*\)".*/\1/p')
  elif [ -f "$path/version.txt" ]; then
    value "$path/version.txt"; version=${value##* }
  elif [ -f "$path/include/cuda.h" ]; then
    version=$(awk '$2 == "CUDA_VERSION" { printf "%d.%d\n", $3 / 1000, $3 % 1000 / 10; exit }' "$path/include/cuda.h")
  fi
  compiler=no; [ -x "$path/bin/nvcc" ] && compiler=yes
  target=; [ -L "$path" ] && target=$(readlink -f "$path")
  say cuda "$path" "$version" "$target" $compiler
done
{ ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null; } |
  awk '$1 ~ /^lib(cuda|nvidia-ml)\.so\.1$/ { print $1, $NF }' | while read -r name path; do
  say library "$name" "$path" "$(readlink -f "$path")" yes
done
for path in /usr/lib*/libcuda.so.1 /usr/lib/*/libcuda.so.1 /usr/lib/*/*/libcuda.so.1 /usr/lib/*/*/*/libcuda.so.1 \
  /usr/local/lib*/libcuda.so.1 /usr/local/cuda*/compat/libcuda.so.1 /usr/local/*/lib*/libcuda.so.1 \
  /opt/*/lib*/libcuda.so.1 /run/opengl-driver/lib/libcuda.so.1 /run/nvidia/driver/usr/lib/*/libcuda.so.1 \
  /usr/lib*/libnvidia-ml.so.1 /usr/lib/*/libnvidia-ml.so.1 /usr/local/*/lib*/libnvidia-ml.so.1; do
  [ -e "$path" ] && say library "${path##*/}" "$path" "$(readlink -f "$path")" no
done
