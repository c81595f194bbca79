# SPDX-License-Identifier: MIT
"""`python -m tf_diet` is `tf-diet`."""

from tf_diet.cli.app import run

if __name__ == "__main__":
    run()
