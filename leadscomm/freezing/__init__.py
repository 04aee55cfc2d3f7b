"""What tools that freeze programs are told of leadscomm."""
