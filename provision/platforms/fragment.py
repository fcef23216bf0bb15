"""Our keys inside a file that others own: read them, and set them so that all else stays.

`read` and `write` return POSIX sh. A file that is not there is made of our keys alone; one that is there keeps its
owner and mode, and is replaced only by a whole one that its own format's reader accepts.
"""

from __future__ import annotations

import json
from typing import assert_never

from pydantic import JsonValue

from provision.model import Fragment, Setting
from provision.platforms.shell import lines, program

# The file is looked at line by line: of several assignments the last one counts. One that is indented stands in a
# condition, so it is not ours to replace; when it is the last, ours comes after it.
_SHELL = """\
assignment() {
    awk -v key="$1" '
        { line = $0; sub(/^[ \\t]*(export[ \\t]+)?/, "", line) }
        index(line, key "=") == 1 { last = line }
        END { if (last != "") print last }' "$path"
}
with() {
    awk -v key="$1" -v line="$2" '
        { text[NR] = $0; own = $0; sub(/^export[ \\t]+/, "", own); any = own; sub(/^[ \\t]*(export[ \\t]+)?/, "", any) }
        index(any, key "=") == 1 { last = NR; plain = (index(own, key "=") == 1) }
        END {
            for (i = 1; i <= NR; i++) print (i == last && plain) ? line : text[i]
            if (!last || !plain) print line
        }'
}
"""

_REPLACE = """\
begin() {
    [ ! -d "$path" ] || die "$path is a directory, and a file belongs there: move it away, then run again"
    mkdir -p "${path%/*}"
    path=$(readlink -f "$path")
    temporary=${path%/*}/.${path##*/}.provision
    trap 'rm -f "$temporary" "$temporary.next"' EXIT
    rm -f "$temporary"
    if [ -e "$path" ]; then cp -p "$path" "$temporary"; else printf %s "$1" >"$temporary"; fi
}
take() {
    cat "$temporary.next" >"$temporary"
    rm -f "$temporary.next"
}
end() {
    sync "$temporary"
    mv -fT "$temporary" "$path"
    sync "${path%/*}"
}
"""


def text(setting: Setting) -> str:
    """What stands behind `KEY=`; values of a shell fragment need no escapes (`ShellSetting`)."""
    return f'"{setting.value}"'


def holds(fragment: Fragment, setting: Setting, seen: str) -> bool:
    """Is what `read` told of a setting what it should be?"""
    match fragment.format:
        case "shell":
            return seen == text(setting)
        case "json":
            return _same(setting.value, seen)
        case _:
            assert_never(fragment.format)


def _same(value: JsonValue, seen: str) -> bool:
    """As texts: Python takes true for 1."""
    try:
        return json.dumps(json.loads(seen), sort_keys=True) == json.dumps(value, sort_keys=True)
    except ValueError:
        return False


def key(setting: Setting, form: str) -> str:
    """The name of a setting on one line."""
    return setting.key[0] if form == "shell" else json.dumps(setting.key)


def read(fragment: Fragment) -> str:
    """Print `KEY<TAB>VALUE` for each of our keys that is in the file. Fails where the file cannot be read at all."""
    match fragment.format:
        case "shell":
            body = """\
[ -e "$path" ] || exit 0
[ -r "$path" ] || die 'not readable for this user'
while read -r key; do
    line=$(assignment "$key")
    [ -z "$line" ] || printf '%s\\t%s\\n' "$key" "${line#*=}"
done <<EOF
$keys
EOF
"""
            return program(_SHELL, body, path=fragment.path, keys=lines(key(s, "shell") for s in fragment.settings))
        case "json":
            body = """\
[ -e "$path" ] || exit 0
[ -r "$path" ] || die 'not readable for this user'
command -v jq >/dev/null || die 'not readable without jq'
while read -r key; do
    value=$(jq -ac --argjson key "$key" 'if any(paths; . == $key) then getpath($key) else empty end' \\
        "$path" 2>/dev/null) || die 'no JSON'
    [ -z "$value" ] || printf '%s\\t%s\\n' "$key" "$value"
done <<EOF
$keys
EOF
"""
            return program(body, path=fragment.path, keys=lines(key(s, "json") for s in fragment.settings))
        case _:
            assert_never(fragment.format)


def write(fragment: Fragment) -> str:
    """Set our keys."""
    match fragment.format:
        case "shell":
            body = """\
begin ''
while IFS='=' read -r key value; do
    with "$key" "$key=$value" <"$temporary" >"$temporary.next"
    take
done <<EOF
$settings
EOF
told=$(sh -n "$temporary" 2>&1) ||
    die "$path is left as it is, because with our keys no shell could read it: ${told#*: }"
end
"""
            settings = lines(f"{s.key[0]}={text(s)}" for s in fragment.settings)
            return program(_SHELL, _REPLACE, body, path=fragment.path, settings=settings)
        case "json":
            body = """\
command -v jq >/dev/null || die "$path holds JSON, and there is no jq here: install the package jq, then run again"
begin '{}'
told=$(jq --argjson settings "$settings" '
    reduce $settings[] as [$way, $value] (.; setpath($way; $value))' "$temporary" 2>&1 >"$temporary.next") ||
    die "$path is left as it is, because our keys do not fit into it: $told"
take
[ -s "$temporary" ] || die "$path is left as it is, because it is empty: put {} into it, or remove it"
end
"""
            settings = json.dumps([[list(s.key), s.value] for s in fragment.settings])
            return program(_REPLACE, body, path=fragment.path, settings=settings)
        case _:
            assert_never(fragment.format)
