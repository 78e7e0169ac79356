"""What the workflows in .github/workflows call; the tests run it without GitHub."""
