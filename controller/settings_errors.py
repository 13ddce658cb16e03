"""What is wrong with a setting, in plain words: the validation library's own wording is about its classes.

Pure: one detail of a `pydantic.ValidationError` to one sentence. `controller.settings` knows where the value stands.
"""

from collections.abc import Mapping
from typing import Any

_SENTENCES = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "enum": "must be {expected}",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "missing": "is missing",
    "model_attributes_type": "must be a mapping",
    "model_type": "must be a mapping",
    "path_type": "must be a path, written as text",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "value_error": "{error}",
}


def sentence(detail: Mapping[str, Any]) -> str:
    """The sentence for one detail of a validation error. Never the value, which may be a secret in the wrong place."""
    text = _SENTENCES.get(detail["type"])
    return text.format(**detail.get("ctx", {})) if text is not None else str(detail["msg"])
