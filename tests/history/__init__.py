"""A history checker: clients write down what they asked and were told while servers die, and a judge reads only that."""
