"""The merge rules of contract.md section 4, written a second time in the plainest way: over whole documents, with
PyYAML, entry after entry. The controller's merge over rendered items must give the same documents."""

from typing import Any

Documents = dict[str, Any]

_LISTS = (("dynamodb", "TableName"), ("s3", "BucketName"), ("layers", "Name"))


def merge(entries: list[Documents]) -> Documents:
    """The three documents that the entries merge to, from empty, in order."""
    functions: Documents = {}
    defaults: Documents = {}
    routes: dict[str, Any] = {}
    resources: dict[str, dict[str, Any]] = {}
    for entry in entries:
        for name, function in entry["functions.yml"]["functions"].items():
            functions[name] = function
        for key, value in (entry["functions.yml"].get("defaults") or {}).items():
            if key in ("environment", "scaling"):
                for inner, setting in (value or {}).items():
                    defaults.setdefault(key, {}).setdefault(inner, setting)
            else:
                defaults.setdefault(key, value)
        for route in (entry["routing.yml"] or {}).get("routes") or []:
            if route.get("path"):
                routes[f"{route['path']}:{route.get('method') or 'GET'}"] = route
        for section, key in _LISTS:
            for item in (((entry.get("resources.yml") or {}).get("resources")) or {}).get(section) or []:
                if item.get(key):
                    resources.setdefault(section, {})[item[key]] = item
    merged_functions: Documents = {"functions": functions}
    if defaults:
        merged_functions["defaults"] = defaults
    return {
        "functions.yml": merged_functions,
        "routing.yml": {"routes": list(routes.values())},
        "resources.yml": {"resources": {section: list(found.values()) for section, found in resources.items()}},
    }
