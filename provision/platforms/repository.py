"""A source of packages that is believed only after its index was fetched with its own key. Debian family.

apt reads armoured keys from files named `.asc` (apt-secure(8), apt 2.4 and later); lists are named after their URI, so
what is fetched by way of a temporary stanza serves the final one too (apt 3.0; read 2026-11-21).
"""

from __future__ import annotations

import hashlib

from provision.model import Repository
from provision.platforms.apt import UPDATE
from provision.platforms.settings import deb822, files_of
from provision.platforms.shell import program

_TRY = """\
scratch=/var/lib/provision/repository
new_key=${key_path%/*}/.new-${key_path##*/}
trap 'rm -rf "$scratch" "$new_key"' EXIT
rm -rf "$scratch" "$new_key"
mkdir -p "$scratch" "${key_path%/*}" "${sources_path%/*}"
printf %s "$key" >"$new_key"
[ "$(sha256sum <"$new_key" | cut -c1-64)" = "$key_sha256" ] ||
    die "the key of $name arrived as another than was sent: is the disk full? Nothing was changed"
printf %s "$trial" >"$scratch/trial.sources"
update_lists -o Dir::Etc::SourceList="$scratch/trial.sources" -o Dir::Etc::SourceParts=/dev/null \\
    -o APT::Get::List-Cleanup=0 ||
    die "the repository $name is left as it was: its index cannot be fetched, or is not signed by $fingerprints"
# Of two entries for one source that name different keys apt says "Conflicting values", and reads no source at all.
mkdir "$scratch/parts"
for entry in "${sources_path%/*}"/*.list "${sources_path%/*}"/*.sources; do
    [ ! -f "$entry" ] || [ "$entry" = "$sources_path" ] || ln -s "$entry" "$scratch/parts/"
done
cp "$scratch/trial.sources" "$scratch/parts/provision-trial.sources"
told=$(apt-get -q -o Dir::Etc::SourceParts="$scratch/parts" indextargets 2>&1 >/dev/null) ||
    die "the repository $name is left as it was: with it apt could not read its sources any more. Take the other" \\
        "entry for it away, then run again. $told"
"""


def add(repository: Repository) -> str:
    """Fetch the index with the key that was declared; only then put key and stanza where apt finds them.

    The two files themselves are for the caller to write.
    """
    key, sources = files_of(repository)
    folder, _, name = key.path.rpartition("/")
    return program(
        UPDATE,
        _TRY,
        patience="300",
        name=repository.name,
        key=key.content,
        key_sha256=hashlib.sha256(key.content.encode()).hexdigest(),
        key_path=key.path,
        sources_path=sources.path,
        trial=deb822(repository, f"{folder}/.new-{name}"),
        fingerprints=", ".join(repository.key.fingerprints),
    )
