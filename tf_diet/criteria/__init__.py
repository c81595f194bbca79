"""How much a unit matters."""
