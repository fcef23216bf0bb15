# What the driver wrote to this boot's kernel log: dmesg, or the journal where dmesg is for root only.
{
  timeout -k 1 3 dmesg 2>/dev/null ||
    timeout -k 1 3 journalctl -k -b -q -o short-monotonic --no-pager 2>/dev/null | grep . ||
    echo 'no log'
} | plain | tr -s ' ' | awk '
  /^no log$/ { print "hidden\tkernel_log\tthe kernel log is not readable for this user"; next }
  /NVRM: Xid|SXid/ { xid[++xids] = $0; next }
  /NVRM|nvidia|nouveau|nvswitch/ { other[++others] = $0 }
  END {
    for (i = xids > 50 ? xids - 49 : 1; i <= xids; i++) print "xid\t" substr(xid[i], 1, 400)
    for (i = others > 50 ? others - 49 : 1; i <= others; i++) print "driver_log\t" substr(other[i], 1, 400)
  }'
