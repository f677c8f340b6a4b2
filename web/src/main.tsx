/* main.tsx - the entry: style sheets in their order, and the app. */
import './css/tokens.css'
import './css/base.css'
import './css/shell.css'
import './css/cards.css'
import './css/fields.css'
import './css/tables.css'
import './css/rows.css'
import './css/dialogs.css'
import './css/charts.css'
import { render } from 'solid-js/web'
import { App } from './App'
import { followAddress } from './lib/address'

followAddress()
render(() => <App />, document.getElementById('root')!)
