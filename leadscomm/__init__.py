"""leadscomm."""
