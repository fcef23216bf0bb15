"""What a role is: variables, and the one function that decides which resources a node gets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from provision.model import Frozen, NodeSpec, Resource, Stack
from provision.platforms import Platform


class NoPlan(ValueError):
    """Roles and declaration do not make a plan; the text says why, and what to do about it."""


class Context(BaseModel):
    """All that a role may look at: what was declared, what fits, and how the distribution names and does things."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    spec: NodeSpec
    stack: Stack
    platform: Platform
    own_modules: tuple[str, ...] = ()
    """DKMS's names of all modules that roles of this plan build (`Role.builds`)."""


class Role(Frozen, ABC):
    """Base of every role. Its fields are its variables; its docstring is the first line of its documentation.

    `component` is what the role brings: the order rules speak of components (`order.yaml`), so a role of another
    name that brings the same component is ordered the same. A role that brings something the rules do not know
    names the components it must follow in `follows`.
    """

    component: ClassVar[str]
    follows: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def wanted(cls, spec: NodeSpec) -> bool:  # noqa: ARG003 - a role that is not for every node looks at the spec
        """Does a node declared like this get the role?"""
        return True

    def builds(self, ctx: Context) -> tuple[str, ...]:  # noqa: ARG002 - most roles build nothing
        """DKMS's names, old ones too, of the modules that this role builds: all others are built as they are."""
        return ()

    @abstractmethod
    def resources(self, ctx: Context) -> Iterator[Resource]:
        """The resources of this role, in order."""
