"""``python -m kidoproxy`` is ``kidoproxy``."""

from kidoproxy.admin.cli import main

if __name__ == "__main__":
    main()
