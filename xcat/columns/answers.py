"""What a volunteer can answer."""

ANSWERS = ("AGN", "Star", "XRB", "CV", "other", "nothing", "dont_know")
"""As they are kept; the last one names no class."""

WORDS = {
    "AGN": "Active galaxy (AGN)",
    "Star": "Star",
    "XRB": "X-ray binary",
    "CV": "Cataclysmic variable",
    "other": "Something else",
    "nothing": "Nothing there",
    "dont_know": "I don't know",
}
"""The same for people, in the order of the keys 1 to 7."""
