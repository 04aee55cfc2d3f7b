"""What stands behind ./dev. Standard library only, and syntax that Python 3.7 can read; `firmware` needs leadscomm."""
