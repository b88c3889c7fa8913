"""Adds the COMMAND answer of one more server to ``redis-commands.json``: ``python -m tests.data.harvest unix:///path``.

A command that the file does not know yet is added; of those it knows, only the names of the servers grow, so
that what was reviewed stays as it is. ``group``, ``since`` and ``summary`` come from COMMAND DOCS
where the file lacks them.
"""

import json
import sys
from pathlib import Path
from typing import Any

import redis

FACTS = Path(__file__).with_name("redis-commands.json")
#: The harvested names of the fields that a COMMAND answer gives by position.
FIELDS = ("name", "arity", "flags", "first_key", "last_key", "step", "acl", "tips", "key_specs", "subcommands")


def _pairs(flat: Any) -> dict[str, Any]:
    """A RESP2 map."""
    return {str(flat[i]): flat[i + 1] for i in range(0, len(flat), 2)}


def _search(flat: Any) -> dict[str, Any]:
    """The ``begin_search`` or ``find_keys`` of one key specification."""
    found = _pairs(flat)
    return {"type": found["type"], "spec": _pairs(found["spec"]) if found["spec"] else []}


def _key_spec(flat: Any) -> dict[str, Any]:
    found = _pairs(flat)
    shaped = {"flags": list(found["flags"])}
    if "notes" in found:
        shaped["notes"] = found["notes"]
    return shaped | {"begin_search": _search(found["begin_search"]), "find_keys": _search(found["find_keys"])}


def _shape(entry: Any) -> dict[str, Any]:
    """One element of a COMMAND answer as the file has it."""
    shaped: dict[str, Any] = dict(zip(FIELDS, entry, strict=False))
    for field in ("flags", "acl", "tips"):
        shaped[field] = sorted(shaped[field])
    shaped["key_specs"] = [_key_spec(flat) for flat in shaped["key_specs"]]
    shaped["subcommands"] = [_shape(sub) for sub in sorted(shaped["subcommands"])]
    return shaped


def _documented(entry: dict[str, Any], docs: dict[str, Any]) -> None:
    """Fill in what COMMAND DOCS says, of the subcommands too."""
    found = _pairs(docs.get(entry["name"], []))
    for field in ("group", "since", "summary"):
        if field in found:
            entry.setdefault(field, found[field])
    for sub in entry["subcommands"]:
        _documented(sub, _pairs(found.get("subcommands", [])))


def merge(facts: dict[str, Any], server: str, answer: Any, docs: Any) -> dict[str, Any]:
    """The facts, with what this server knows beyond them."""
    for entry in map(_shape, answer):
        known = facts.setdefault(entry["name"], {"servers": [], **entry})
        if server not in known["servers"]:
            known["servers"].append(server)
        have = {sub["name"] for sub in known["subcommands"]}
        known["subcommands"] += [sub for sub in entry["subcommands"] if sub["name"] not in have]
        known["subcommands"].sort(key=lambda sub: str(sub["name"]))
    for entry in facts.values():
        _documented(entry, _pairs(docs))
    return dict(sorted(facts.items()))


def main(url: str) -> None:
    """Ask the server at ``url`` and rewrite the file."""
    client: Any = redis.Redis.from_url(url, protocol=2, decode_responses=True)
    client.response_callbacks.clear()
    info = dict(line.split(":", 1) for line in client.execute_command("INFO", "server").splitlines() if ":" in line)
    name = info.get("server_name", "redis")
    server = f"{name}-{info[f'{name}_version']}"
    answer, docs = client.execute_command("COMMAND"), client.execute_command("COMMAND", "DOCS")
    facts = json.loads(FACTS.read_text())
    FACTS.write_text(json.dumps(merge(facts, server, answer, docs), indent=0) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
