"""Tests of directives: their files, how they are run, and what they cover."""
