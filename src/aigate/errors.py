"""The gate's own trouble. What is wrong with the world is evidence (`Missing`) and never raised to a door."""

from typing import ClassVar


class AigateError(Exception):
    """Something that keeps the gate from doing its work; never "a policy said no".

    `fix` is the next step for the person who reads the message. Doors print
    both and leave with `exit_code` (the table is DESIGN's: 2 usage,
    configuration or policy code; 3 hold; 4 an effect could not be confirmed;
    70 internal).
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class UsageError(AigateError):
    """The command line or the environment asks for something that cannot be."""

    exit_code = 2


class ConfigError(AigateError):
    """A file the user wrote (manifest, waivers, snapshot) is unreadable or wrong.

    `place` is `file:line:column`, or the file alone where no line is known.
    """

    exit_code = 2

    def __init__(self, message: str, *, place: str = "", fix: str = "") -> None:
        super().__init__(f"{place}: {message}" if place else message, fix=fix)
        self.place = place


class PolicyCodeError(AigateError):
    """A policy file cannot be loaded, or its parameters cannot be bound."""

    exit_code = 2
