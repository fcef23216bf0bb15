"""Stand-ins for what only NVIDIA's and Canonical's repositories have, on a Debian node that bears Ubuntu's name.

What a stand-in holds is described in `data/packages/*.yaml`; which versions there are, the catalog says. Real about
it: apt, dpkg, the signatures, dkms, the compiler, the headers and the modules' symbol versions.
"""

from provision.lab.archive.build import PLACE
from provision.lab.archive.cases import Unknown
from provision.lab.archive.description import Repository, descriptions, repositories
from provision.lab.archive.ground import Ground
from provision.lab.archive.layer import Served, provide, served, sources
from provision.lab.archive.make import archive
from provision.lab.archive.package import StandIn
from provision.model.places import STANDINS_MARK as MARK

__all__ = [
    "MARK",
    "PLACE",
    "Ground",
    "Repository",
    "Served",
    "StandIn",
    "Unknown",
    "archive",
    "descriptions",
    "provide",
    "repositories",
    "served",
    "sources",
]
