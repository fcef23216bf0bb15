"""What every program sent to a node has in common: its frame, and its lock."""

from __future__ import annotations

from provision.model.places import RUN

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

BUSY_SECONDS = 1800
"""How long a program waits for the one before it: a killed controller leaves its last command running."""


def program(body: str) -> str:
    """A program that a cut connection cannot run in half.

    `sh` executes what it reads while it reads; as one function, a truncated text is a syntax error instead.
    No child can eat the rest of the program either, because its standard input is empty.
    """
    return f"main() {{\nexport LC_ALL=C PATH={PATH}\n{body}\n}}\nmain </dev/null\n"


LOCK = f"""[ -d {RUN} ] || mkdir -p {RUN}
exec 9>>{RUN}/lock
if ! flock -n 9; then
  printf '@busy\\t%s\\n' "$(cat {RUN}/doing 2>/dev/null || :)"
  flock -w {BUSY_SECONDS} 9 || {{
    echo "another command is still running: $(cat {RUN}/doing 2>/dev/null)" >&2; exit 75
  }}
fi"""
"""One program at a time, probe or change; needs root."""

SAY = r"""
tab=$(printf '\t')
say() {
  line=$1; shift
  for field in "$@"; do
    case $field in *[[:cntrl:]]*) field=$(printf %s "$field" | tr '[:cntrl:]' ' ') ;; esac
    line="$line$tab$field"
  done
  printf '%s\n' "$line"
}
plain() { tr -c '[:print:]\n' '?'; }
"""
"""`say KEY FIELD...`: one line of an answer, in which a hostile value stays one field. `plain`: a filter to ASCII."""
