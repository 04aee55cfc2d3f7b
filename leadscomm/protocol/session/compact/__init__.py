"""The compact profile: go-back-N for boards with little memory, over one line."""
