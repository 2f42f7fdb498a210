#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers of cptdevd against Documentation/control.schema.json, for schema.sh.

answers.py schema SCHEMA          what is wrong with the schema itself
answers.py check SCHEMA ANSWERS   answers that don't fit, and what of the schema no answer has
answers.py mutants SCHEMA ANSWERS mistakes in an answer that aren't found
answers.py words SCHEMA WORD...   words that no list of the schema has

Each prints nothing if all is well. ANSWERS has a document on each line.
"""
import copy
import json
import re
import sys

from jsonschema import Draft202012Validator


class Schema:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.root = json.load(file)
        Draft202012Validator.check_schema(self.root)
        self.defs = self.root["$defs"]
        self.validator = Draft202012Validator(self.root)

    def fits(self, schema, value):
        return self.validator.evolve(schema=schema).is_valid(value)

    def target(self, schema):
        return schema["$ref"].rsplit("/", 1)[1]

    def errors(self, value):
        """Why it doesn't fit: of the kind of answer that has most of its keys."""
        def likeness(name):
            keys = set(self.defs[name]["properties"])
            return len(keys & set(value)) - len(keys ^ set(value))

        if not isinstance(value, dict):
            return ["it isn't an object"]
        name = max((self.target(one) for one in self.root["oneOf"]), key=likeness)
        found = self.validator.evolve(schema=self.defs[name]).iter_errors(value)
        return [f"{name}: {error.json_path}: {error.message}" for error in found] or [
            f"{name}: it fits more than one kind of answer, or none"]

    def mark(self, schema, value, seen):
        """Add what describes the value to seen: definitions, and words of lists."""
        if "$ref" in schema:
            name = self.target(schema)
            seen.add(name)
            self.mark(self.defs[name], value, seen)
        for one in schema.get("oneOf", []) + schema.get("allOf", []):
            if self.fits(one, value):
                self.mark(one, value, seen)
        if "enum" in schema:
            seen.add(f"{id(schema)} {value}")
        for key, one in schema.get("properties", {}).items():
            if isinstance(value, dict) and key in value:
                self.mark(one, value[key], seen)
        for item in value if isinstance(value, list) and "items" in schema else []:
            self.mark(schema["items"], item, seen)

    def lists(self, schema=None, path="$"):
        """Each list of words, with its place."""
        schema = self.root if schema is None else schema
        if isinstance(schema, dict):
            if "enum" in schema and isinstance(schema["enum"], list):
                yield path, schema
            for key, one in schema.items():
                yield from self.lists(one, f"{path}.{key}")
        elif isinstance(schema, list):
            for one in schema:
                yield from self.lists(one, path)


def answers(path):
    with open(path, encoding="utf-8") as file:
        return sorted(set(file.read().splitlines()), key=len)


def wrong_in_schema(schema):
    for name, one in schema.defs.items():
        if "description" not in one:
            yield f"{name} has no description"
        for key, value in one.get("properties", {}).items():
            if "description" not in value:
                yield f"{name}: {key} has no description"
        if one.get("type") == "object" and one.get("additionalProperties") is not False:
            yield f"{name} takes any further key"
        if one.get("type") == "object" and "dependentRequired" not in one:
            for key in set(one["properties"]) - set(one["required"]):
                yield f"{name}: {key} may be missing"


def check(schema, lines):
    seen, shapes = set(), set()
    for line in lines:
        value = json.loads(line)
        if not schema.validator.is_valid(value):
            yield f"{line[:200]}: {'; '.join(schema.errors(value))}"
            continue
        # Numbers apart, it has been looked at.
        shape = re.sub(r"[0-9a-f]*[0-9][0-9a-f]*", "0", line)
        if shape not in shapes:
            shapes.add(shape)
            schema.mark(schema.root, value, seen)
    for name in schema.defs:
        if name not in seen:
            yield f"no answer has a {name}"
    for path, one in schema.lists():
        words = [word for word in one["enum"] if f"{id(one)} {word}" not in seen]
        if words:
            print(f"# {path[2:]}: no answer has {', '.join(words)}", file=sys.stderr)


def places(value, path=()):
    """Each object in it, as a path."""
    if isinstance(value, dict):
        yield path
        for key, one in value.items():
            yield from places(one, path + (key,))
    elif isinstance(value, list):
        for i, one in enumerate(value):
            yield from places(one, path + (i,))


def at(value, path):
    for step in path:
        value = value[step]
    return value


def mutants(schema, lines):
    """A key that is renamed, is missing, or has an unknown word or a wrong type, in each place."""
    done = set()
    for line in lines:
        value = json.loads(line)
        # Without a key an answer may be one of another kind, which is none here.
        kind_of = next(one for one in schema.root["oneOf"] if schema.fits(one, value))
        for path in places(value):
            for key, old in at(value, path).items():
                kind = (tuple(step for step in path if isinstance(step, str)), key,
                        tuple(at(value, path)))
                if kind in done:
                    continue
                done.add(kind)
                for what, change in (
                        ("renamed", lambda o, k: o.update({k + "x": o.pop(k)})),
                        ("missing", lambda o, k: o.pop(k)),
                        ("of a wrong type", lambda o, k: o.update({k: [[]]}))):
                    wrong = copy.deepcopy(value)
                    change(at(wrong, path), key)
                    if schema.fits(kind_of, wrong):
                        yield f"{'.'.join(map(str, path + (key,)))} is {what}: {line[:100]}"
                if not isinstance(old, str):
                    continue
                wrong = copy.deepcopy(value)
                at(wrong, path)[key] = "no such word"
                if key in ("state", "event", "detector", "phase", "result", "code", "by",
                           "failover", "answer") and schema.fits(kind_of, wrong):
                    yield f"{'.'.join(map(str, path + (key,)))} has an unknown word: {line[:100]}"


def main():
    mode, schema = sys.argv[1], Schema(sys.argv[2])
    if mode == "schema":
        found = wrong_in_schema(schema)
    elif mode == "check":
        found = check(schema, answers(sys.argv[3]))
    elif mode == "mutants":
        found = mutants(schema, answers(sys.argv[3]))
    else:
        known = {word for _, one in schema.lists() for word in one["enum"]}
        found = [word for word in sys.argv[3:] if word not in known]
    for line in found:
        print(line)


main()
