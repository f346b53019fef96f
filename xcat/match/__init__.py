"""The probability that an object is the counterpart of an X-ray source."""
