"""Fine-tunes a model on the tasks of CCKS.

::

    python launch/finetune_ccks.py --task NAME --data_dir DIR --model_name_or_path DIR --output_dir OUT \\
        --do_train --do_eval --do_predict
"""

import sys

from chinesebert.finetuning.main import main

if __name__ == "__main__":
    sys.exit(main("ccks"))
