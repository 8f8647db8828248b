"""`python -m oauth_gateway.cli`"""

import sys

from . import main

sys.exit(main())
