"""What it takes to build kidoproxy and to run it elsewhere. Not part of the installed package."""
