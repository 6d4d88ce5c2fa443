import sys

from pytorch_forecasting.models.nn.rnn import LSTM, get_rnn

try:
    got = get_rnn(LSTM).__name__
except ValueError as error:
    got = f"ValueError: {error}"
print(f"get_rnn(LSTM), documented for a class: right LSTM, got {got}")
sys.exit(got != "LSTM")
