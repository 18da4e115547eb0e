"""Base classes of the schemas of input, and the schemas of decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, create_model, field_validator

from sifilma.kernel.errors import Faults
from sifilma.kernel.field_notes import LENGTH
from sifilma.kernel.text import Wrong, is_known, say, visible

UNKNOWN = say("This text has characters that cannot be kept.")
AS_TYPED, IN_LINES = "as typed", "in lines"
"""Marks of a text in a schema: it is taken as it is (a password; a name, which has a check of its own); it may have several lines."""
Prose = Annotated[str, IN_LINES]
"""A text of several lines."""
Remark = Annotated[Prose, Field(max_length=LENGTH)]
Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A schema that refuses unknown fields, so that nobody can set a field by guessing its name.

    Every text is taken as it is seen (`kernel.text.visible`), on one line unless it is Prose. Its length is that of what is left.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @field_validator("*", mode="before")
    @classmethod
    def as_seen(cls, typed: Any, about: ValidationInfo) -> Any:
        """Return a text, or the texts of a list, in NFC without characters that show nothing. Raise ValueError for unknown ones."""
        if not isinstance(typed, str | list):
            return typed
        if isinstance(typed, str) and typed.isascii() and typed.isprintable() and " " not in typed:
            return typed  # however it is marked: most cells of a file of 100,000 rows
        marks = cls.model_fields[about.field_name].metadata if about.field_name in cls.model_fields else []
        if AS_TYPED in marks:
            return typed
        if isinstance(typed, list):
            return [_seen(one, IN_LINES in marks) for one in typed]
        return _seen(typed, IN_LINES in marks)


def _seen(typed: Any, in_lines: bool) -> Any:
    if not isinstance(typed, str):
        return typed
    seen = visible(typed)
    if not is_known(seen):
        raise ValueError(UNKNOWN)
    return seen if in_lines else " ".join(seen.split())


def parsed(schema: type[Model], given: Mapping[str, Any], also: Callable[[Mapping[str, Any]], Faults] | None = None) -> Model:
    """Return the values as the schema has them. Raise ValidationError, or with `also` Invalid with more than the schema's faults.

    `also` gets the values of the fields that could be read, and returns what else is wrong with them; so all is told at once. Where
    nothing is wrong with any field it is not asked: the service does its checks itself.
    """
    try:
        return schema.model_validate(given)
    except ValidationError as refused:
        if also is None:
            raise
        faults = faults_of(refused)
        faults.extend(also(readable(schema, given, refused)))
    raise faults.refusal()


def faults_of(refused: ValidationError) -> Faults:
    """Return the faults that a schema found, in the order of its fields."""
    faults = Faults()
    for error in refused.errors(include_url=False):
        faults.add(".".join(map(str, error["loc"])) or "body", Wrong(error))
    return faults


def readable(schema: type[BaseModel], given: Mapping[str, Any], refused: ValidationError) -> dict[str, Any]:
    """Return the values of the fields of a refused input that are right, defaults among them."""
    bad = {str(error["loc"][0]) for error in refused.errors(include_url=False) if error["loc"]}
    wrong = {name: (Any, None) for name in schema.model_fields if name in bad}
    relaxed = create_model(schema.__name__, __base__=schema, **wrong)  # type: ignore[call-overload]  # fields by computed names
    try:
        read = relaxed.model_validate({name: value for name, value in given.items() if name in schema.model_fields and name not in bad})
    except ValidationError:  # the fields are right one by one, not together
        return {}
    return {name: getattr(read, name) for name in schema.model_fields if name not in bad}


class NoteIn(Strict):
    """A note that accompanies a decision."""

    note: Prose = Field("", max_length=2000)


class ApproveIn(NoteIn):
    """An approval. `digest` is the digest of what the approver saw; the service refuses it if the object has changed since."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


class Remarks(Strict):
    """Notes on the fields of something returned. A subclass has a Remark for each field that can get one."""

    def given(self) -> dict[str, str]:
        """Return the notes that are not empty, by field."""
        return {name: note for name, note in self.model_dump().items() if note}


class ReturnIn(NoteIn):
    """A return for correction: a note on the whole, notes on fields, or both. One is required."""

    fields: Remarks
