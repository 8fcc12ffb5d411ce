"""python -m authsvc: the command line."""

from authsvc.faces.cli.main import main

if __name__ == "__main__":
    main()
