"""The Gherkin vocabulary, one module per noun. ``harness steps`` lists it."""
