"""Why a source has its class, property by property."""
