"""Share a finished run on the Hub, with its model card. Copy this file and change what you like.

    hf auth login
    python examples/push_to_hub.py out user/joyful-meld --dataset_name MELD --private

`out` is the folder of a finished run. Its card says how the model was trained, on how much data, and how well it
works. Read the card on the Hub before you make the repository public, and add what only you can know. With
`--with_code` the model can also be loaded without this package, by `trust_remote_code=True`.
"""

import argparse

from joyful_hf import push_folder


def main() -> None:
    """Push, and print where the model is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="Folder of a finished run.")
    parser.add_argument("repo_id", help="Id of the repository, such as user/joyful-meld; created if it is missing.")
    parser.add_argument("--dataset_name", help="Name of the data in the card.")
    parser.add_argument("--private", action="store_true", help="Create the repository as private.")
    parser.add_argument("--with_code", action="store_true", help="Also push the code of model and processor.")
    arguments = parser.parse_args()

    commit = push_folder(
        arguments.run,
        arguments.repo_id,
        private=arguments.private or None,  # None: as the account's settings say
        with_code=arguments.with_code,
        dataset_name=arguments.dataset_name,
    )
    print(f"pushed:  {commit.commit_url}")
    print(f'load it: pipeline("emotion-recognition", model="{arguments.repo_id}")')


if __name__ == "__main__":
    main()
