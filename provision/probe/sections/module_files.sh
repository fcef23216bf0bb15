# The driver's modules on disk, for every kernel of /lib/modules. Only the driver's main module is opened (modinfo has to
# decompress it): the others come from the same build.
for kernel in /lib/modules/*/; do
  [ -d "$kernel" ] || continue
  release=${kernel%/}; release=${release##*/}
  for folder in "$kernel"updates "$kernel"extra "$kernel"weak-updates "$kernel"kernel/nvidia* \
    "$kernel"kernel/drivers/video "$kernel"kernel/drivers/char/drm "$kernel"nvidia; do
    [ -d "$folder" ] || continue
    find "$folder" -maxdepth 3 \( -name 'nvidia*.ko*' -o -name 'gdrdrv.ko*' -o -name 'mlx5_core.ko*' \) 2>/dev/null
  done | sort -u | while IFS= read -r path; do
    name=${path##*/}; name=${name%%.ko*}
    version='' vermagic='' licence='' signer=''
    case $name in
    *-uvm | *-drm | *-modeset | *-peermem | *_uvm | *_drm | *_modeset | *_peermem) ;;
    *)
      fields=$(timeout 3 modinfo "$path" 2>/dev/null | awk '
        { key = $1; sub(/^[^:]*:[ \t]*/, "") }
        key == "version:" { version = $0 } key == "vermagic:" { vermagic = $0 }
        key == "license:" { licence = $0 } key == "signer:" { signer = $0 }
        END { printf "version=%s\nvermagic=%s\nlicence=%s\nsigner=%s\n", version, vermagic, licence, signer }')
      while IFS='=' read -r key content; do
        case $key in
        version) version=$content ;; vermagic) vermagic=$content ;;
        licence) licence=$content ;; signer) signer=$content ;;
        esac
      done <<FIELDS
$fields
FIELDS
      ;;
    esac
    say module_file "$release" "$name" "$path" "$version" "$vermagic" "$licence" "$signer"
  done
done
