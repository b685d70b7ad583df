"""`python -m crosslook.data export emoji:val FOLDER [--images] [--features]`: write a data set out."""

import argparse

from crosslook.data.emoji import dataset, records


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m crosslook.data", description="Data sets as files.")
    commands = parser.add_subparsers(dest="command", required=True)
    export = commands.add_parser("export", help="write Emoji Entities in the layout of Flickr30k Entities")
    export.add_argument("spec", choices=[f"emoji:{split}" for split in records.SPLITS])
    export.add_argument("folder", help="where to write; it is created")
    export.add_argument("--images", action="store_true", help="draw the images too")
    export.add_argument("--features", action="store_true", help="also the detector's regions, as a TSV file")
    options = parser.parse_args(arguments)
    split = options.spec.removeprefix("emoji:")
    dataset.export(split, options.folder, images=options.images, features=options.features)
    print(f"wrote {options.spec}; read it with crosslook.data.load('flickr30k:{options.folder}:{split}')")


if __name__ == "__main__":
    main()
