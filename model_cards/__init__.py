"""Templates of the cards that come with the package."""
