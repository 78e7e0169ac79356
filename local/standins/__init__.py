"""Stand-ins for the official provider plugins, used only on machines that cannot download those."""
