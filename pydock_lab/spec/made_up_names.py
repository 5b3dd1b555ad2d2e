"""Names for containers that were given none: `patient_mcilroy`.

Docker's form (adjective_surname), our own words: the people are those to whom
containers, Unix and computing owe something. The engine picks from them; the
notebook knows by them a name that nobody chose.
"""

from __future__ import annotations

ADJECTIVES = (
    "agile", "amber", "bold", "brave", "bright", "brisk", "calm", "candid", "careful", "cheerful", "clever",
    "cosmic", "crisp", "curious", "daring", "deft", "diligent", "eager", "earnest", "elegant", "fair", "fearless",
    "fluent", "frank", "gentle", "glad", "golden", "graceful", "happy", "hardy", "honest", "humble", "ingenious",
    "jolly", "keen", "kind", "lively", "lucid", "merry", "mindful", "modest", "neat", "nimble", "noble", "patient",
    "playful", "polite", "proud", "quick", "quiet", "radiant", "ready", "serene", "sharp", "silent", "sincere",
    "smart", "steady", "subtle", "sunny", "swift", "tidy", "tireless", "upbeat", "vivid", "warm", "wise", "witty",
)  # fmt: skip
SURNAMES = (
    "allen", "babbage", "backus", "bartik", "biederman", "brooks", "cerf", "church", "codd", "corbato", "dijkstra",
    "easley", "engelbart", "feinler", "goldberg", "gosling", "hamilton", "hamming", "hoare", "holberton", "hopper",
    "huffman", "hykes", "johnson", "joy", "kahn", "kamp", "kay", "keller", "kernighan", "kilburn", "knuth", "lamport",
    "lamarr", "lampson", "liskov", "lovelace", "maclane", "mccarthy", "mcilroy", "merkle", "milner", "minsky",
    "moolenaar", "naur", "neumann", "noether", "ossanna", "perlman", "pike", "postel", "ritchie", "rossum", "saltzer",
    "sammet", "shannon", "stallman", "sutherland", "tanenbaum", "thompson", "torvalds", "turing", "wilkes", "wing",
    "wirth", "zuse",
)  # fmt: skip
