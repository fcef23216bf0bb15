# UEFI and Secure Boot: the variable of efivarfs (four bytes of attributes, then the value), else mokutil; and the
# kernel's lockdown.
if [ -d /sys/firmware/efi ]; then
  state=
  variable=/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
  if [ -r "$variable" ]; then
    case $(od -A n -t u1 -j 4 -N 1 "$variable" 2>/dev/null | tr -d ' ') in 1) state=enabled ;; 0) state=disabled ;; esac
  else
    case $(mokutil --sb-state 2>/dev/null) in *enabled*) state=enabled ;; *disabled*) state=disabled ;; esac
    [ -n "$state" ] || say hidden secure_boot "neither efivarfs nor mokutil can be read"
  fi
  say firmware uefi "$state"
else
  say firmware other ""
fi
if value /sys/kernel/security/lockdown; then
  lockdown=${value#*\[}
  say lockdown "${lockdown%%\]*}"
fi
