"""Imports every module of checks; the order here is the order in reports."""
