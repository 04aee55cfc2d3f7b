"""What ``leadscomm doctor`` looks at, step by step."""
